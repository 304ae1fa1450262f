def run(model): pass
