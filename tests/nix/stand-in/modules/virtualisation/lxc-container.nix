# The real profile makes the system bootable as an Incus container; none of it concerns these checks.
{ }
