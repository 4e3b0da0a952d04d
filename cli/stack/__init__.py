"""What `phantom up` builds: the processes, in order, under one supervisor, out of one folder."""
