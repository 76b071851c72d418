def clusters_tile_products():
    return []
def clusters_tile_images(wildcards):
    return []
def clusters_tile_truth(wildcards):
    return []
