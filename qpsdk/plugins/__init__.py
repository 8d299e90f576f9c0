"""The bundled plugins, written only against the public API, as a user's would be."""
