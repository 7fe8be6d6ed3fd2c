"""The HTML page for reviewing an audit."""
