"""What is known of pipelines and their backups, and how it is said: asked on threads, never in a request."""
