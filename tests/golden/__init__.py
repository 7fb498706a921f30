"""What the panels said and showed before they were rebuilt: captions, findings and numbers of old states."""
