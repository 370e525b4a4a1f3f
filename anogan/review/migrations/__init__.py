"""How the tables of the desk came about, step by step (alembic); `anogan.review.database` runs the steps."""
