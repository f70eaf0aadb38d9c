"""Files: images, tables and folders, whole or not at all."""
