"""Data on disk, a file a format: each says what is missing and reads arrays.

`idx`, `image_folder`, `parquet` and `digits` hold images, `nmnist` holds recordings of an event
camera; `images` and `recordings` decode them.
"""
