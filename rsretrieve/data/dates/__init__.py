"""When tiles were taken: by lists, STAC items and the headers of their files."""
