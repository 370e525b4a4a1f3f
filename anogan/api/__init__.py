"""The API: photos in over HTTP, each judged and kept as a screening; what a person must see is in the review queue.

problems     what is answered when something is wrong
tables       what is kept in the database
keys         who may do what, and how often
batching     requests that wait a moment to share a batch
verdict      what a score means, in words
linking      which other applications share a photo, a face or a background
erasing      screenings erased, on request or for their age
screening    from a photo to a screening that outlives a crash
guard        what every request passes through
app          the routes
"""
