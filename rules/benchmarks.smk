def benchmarks_products():
    return []
