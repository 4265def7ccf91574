PORT = 8000
start_all()
