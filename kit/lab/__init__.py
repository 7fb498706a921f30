"""What JupyterLab is given by `loupe`: its settings, and how it reads notebooks."""
