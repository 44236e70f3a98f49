"""From a download as it is published to the folder that `supervised.data` loads, see `samples`."""
