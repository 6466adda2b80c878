def install(cache, options): pass
