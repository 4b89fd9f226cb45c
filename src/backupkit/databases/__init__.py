"""Database servers: how each is named by a URL, reached by its own client, and spoken of when it fails."""
