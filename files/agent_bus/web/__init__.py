"""The HTTP side of the hub: endpoints, their schemas, problems and streams."""
