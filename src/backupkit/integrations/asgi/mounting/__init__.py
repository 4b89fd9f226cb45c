"""The page within applications of any kind."""
