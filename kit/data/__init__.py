"""Images from folders and uploads."""

from kit.data.images import ImageFolder, Upload, read_folder, read_upload

__all__ = ["ImageFolder", "Upload", "read_folder", "read_upload"]
