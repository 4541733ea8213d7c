"""What both services need around their loops: settings, logs, signals, health, restarting."""
