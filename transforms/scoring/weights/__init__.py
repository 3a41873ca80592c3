"""From a checkpoint's files to modules on a device."""
