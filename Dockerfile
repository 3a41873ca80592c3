# A worker with a GPU: CUDA, torch, kernels of attention, Beam's boot and this package, at the versions of
# constraints.txt.
#
#     docker build --tag IMAGE .
#
# The drivers are the host's: Dataflow installs them where an accelerator says install-nvidia-driver. CUDA's libraries
# come with torch, so the small base is enough. Compiling FlashAttention-2 (--build-arg EXTRAS=gcp,flash-attn) takes the
# toolkit as well: --build-arg CUDA=devel.
ARG CUDA=base
FROM nvidia/cuda:13.0.1-${CUDA}-ubuntu24.04

# The Python of the machine that submits: what it pickles is for the same one.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        build-essential ca-certificates software-properties-common \
    && add-apt-repository --yes ppa:deadsnakes/ppa \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        python3.11 python3.11-dev python3.11-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3.11 -m venv /opt/rerank
ENV PATH=/opt/rerank/bin:$PATH \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/usr/local/cuda/lib64

WORKDIR /opt/source
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt torch setuptools wheel packaging psutil ninja

ARG EXTRAS=gcp,gpu
COPY setup.py pyproject.toml README.md LICENSE ./
COPY transforms transforms/
COPY pipelines pipelines/
COPY eval eval/
# Without isolation, so that what is compiled is compiled for the torch that is there.
RUN pip install --no-cache-dir --no-build-isolation --constraint constraints.txt ".[$EXTRAS]" && pip check

COPY --from=apache/beam_python3.11_sdk:2.77.0 /opt/apache/beam /opt/apache/beam
ENTRYPOINT ["/opt/apache/beam/boot"]
