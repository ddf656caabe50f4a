"""The processes of one training: started here, or met where srun started them."""
