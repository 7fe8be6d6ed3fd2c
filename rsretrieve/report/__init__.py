"""What people and other programs look at: tables, pictures, pages, GeoJSON."""
