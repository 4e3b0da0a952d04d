"""What tests of every folder share: servers, a database a worker, waiting, a browser."""
