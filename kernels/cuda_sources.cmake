# The cuda backend: kernels, and the C sources that queue them. Paths from the top of the tree.
set(NIGHTSHIFT_CUDA_KERNELS
  kernels/bin_cuda.cu kernels/cuts_cuda.cu kernels/device_cuda.cu kernels/finish_cuda.cu kernels/grow_cuda.cu kernels/histogram_cuda.cu kernels/leaves_cuda.cu kernels/part_cuda.cu kernels/rows_cuda.cu kernels/score_cuda.cu kernels/times_cuda.cu
  kernels/search_cuda.cu)
set(NIGHTSHIFT_CUDA_HOST kernels/forest_cuda.c kernels/leaves_cuda.c kernels/prepare_cuda.c kernels/ranks_cuda.c kernels/scorer_cuda.c kernels/seal_cuda.c
  kernels/slabs_cuda.c)
list(TRANSFORM NIGHTSHIFT_CUDA_KERNELS PREPEND ${CMAKE_SOURCE_DIR}/)
list(TRANSFORM NIGHTSHIFT_CUDA_HOST PREPEND ${CMAKE_SOURCE_DIR}/)
