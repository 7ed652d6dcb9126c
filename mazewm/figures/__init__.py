"""Tables -> pictures that people read."""
