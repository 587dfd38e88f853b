# SPDX-License-Identifier: Apache-2.0
#
# The whole build. Sources are found by directory, objects go to build/VARIANT/, and
# nothing is configured: what differs between compilers is probed when it is needed.
# Lines with `##` are what `make help` prints.

## VARIANT=release|debug|asan|cov|fuzz   kind of build (release)
## CC=gcc|clang                         compiler (gcc)
## CFLAGS=, LDFLAGS=                    appended after the project's own flags
## WERROR=                              empty: warnings do not stop the build
## V=1                                  show whole command lines
## PREFIX=, DESTDIR=                    where install puts things (/usr/local)
## KERNEL=                              a guest kernel for install, too
## XEN_DIR=                             a built Xen; default: hypervisor-patches/build.sh
## DEPS=no                              do not look for missing Debian packages
## SOAK_SECONDS=                        how long `make soak` lasts (600)
## FUZZ_SECONDS=                        how long fuzzers run, parsers' a third of it (60;
##                                      check-fuzz: 5)

VARIANT := release
PREFIX  := /usr/local
DOC      = $(PREFIX)/share/doc/xenolith
DOCS    := $(wildcard README.md LICENSE docs/*.md api/openapi.yaml)
WERROR  := -Werror
DEPS    := yes
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(VARIANT)$(findstring clang,$(CC)),fuzz)
override CC := clang
endif

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.PHONY: all help FORCE
all:

B := build/$(VARIANT)
G := build/gen
ifeq ($(V),)
Q := @
say = @$(if $(findstring s,$(firstword -$(MAKEFLAGS))),:,printf '  %-7s %s\n' $1 $2)
endif

# ---- sources ------------------------------------------------------------------

# Files of vmm/hv that include no Xen header. They are part of the core; the others
# make the real monitor, and tests/fake takes their place in xenolith-fake.
HV_PORTABLE := vmm/hv/keeper.c

HV_SRC    := $(wildcard vmm/hv/*.c)
XEN_SRC   := $(filter-out $(HV_PORTABLE),$(HV_SRC))
CORE_SRC  := $(filter-out vmm/main.c,$(wildcard $(addsuffix /*.c, \
		vmm vmm/lib devices boot seccomp api))) $(HV_PORTABLE)
FAKE_SRC  := $(wildcard tests/fake/*.c) $(filter-out %/guest.c, \
		$(wildcard tests/system/hostile/*.c))
CTL_SRC   := $(wildcard api/ctl/*.c)
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
FUZZ_SRC  := $(wildcard tests/fuzz/fuzz_*.c)

objects    = $(patsubst %.c,$B/%.o,$1)
MAIN_OBJ  := $(call objects,vmm/main.c)
XEN_OBJ   := $(call objects,$(XEN_SRC))
CORE_OBJ  := $(call objects,$(CORE_SRC))
FAKE_OBJ  := $(call objects,$(FAKE_SRC))
CTL_OBJ   := $(call objects,$(CTL_SRC))
UNIT_OBJ  := $(call objects,$(UNIT_SRC))
FUZZ_OBJ  := $(call objects,$(FUZZ_SRC))

# What is installed to PREFIX/share, where it is in there.
MAN   := $(patsubst docs/man/%.in,$B/share/man/man1/%,$(wildcard docs/man/*.in))
COMPLETIONS := $B/share/bash-completion/completions/xenolithctl \
	$B/share/zsh/site-functions/_xenolithctl
BUILT  = $B/xenolith $B/xenolithctl $(MAN) $(COMPLETIONS)

CORE  := $B/libxenolith-core.a
FAKE  := $B/libxenolith-fake.a
# All of xenolithctl but main, for its tests.
CTL   := $B/libxenolithctl.a
UNITS := $(patsubst tests/unit/%.c,$B/tests/%,$(UNIT_SRC))
FUZZERS := $(patsubst tests/fuzz/%.c,$B/%,$(FUZZ_SRC))

# ---- flags --------------------------------------------------------------------

# A value that costs a process: found when first used, then kept.
once = $(eval $1 := $2)$($1)
# Those of the options $1 that the compiler takes.
accepted = $(shell for o in $1; do \
	$(CC) -Werror $$o -x c -c -o /dev/null /dev/null 2> /dev/null && echo "$$o"; done)

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wvla \
	-Walloca -Wformat=2 -Wundef -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wpointer-arith -Wcast-align -Wcast-qual \
	-Wwrite-strings -Wswitch-enum -Wnull-dereference -Wimplicit-fallthrough \
	-Wdouble-promotion
WARN_PROBED = $(call once,WARN_PROBED,$(call accepted,-Wduplicated-cond \
	-Wduplicated-branches -Wlogical-op -Wjump-misses-init -Warith-conversion))

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
ifeq ($(VARIANT),release)
OPT  := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
HARD  = $(call once,HARD,-fstack-protector-strong -fstack-clash-protection \
	-fcf-protection=full $(call accepted,-ftrivial-auto-var-init=zero \
	-fzero-call-used-regs=used-gpr -fstrict-flex-arrays=3))
else ifeq ($(VARIANT),debug)
OPT  := -Og -g3
else ifeq ($(VARIANT),asan)
OPT  := -O1 -g -fno-omit-frame-pointer $(SANITIZE)
LINK := $(SANITIZE)
else ifeq ($(VARIANT),cov)
OPT  := -O0 -g --coverage
LINK := --coverage
else ifeq ($(VARIANT),fuzz)
OPT  := -O1 -g -fno-omit-frame-pointer $(SANITIZE) -fsanitize=fuzzer-no-link
LINK := $(SANITIZE)
else
$(error VARIANT=$(VARIANT): one of release, debug, asan, cov, fuzz)
endif

ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -I. -I$G $(OPT) $(HARD) -fPIE -fno-common \
	-fno-delete-null-pointer-checks $(WARN) $(WARN_PROBED) $(WERROR) -MMD -MP
ALL_LDFLAGS = -pie -Wl,--as-needed -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code \
	$(LINK)

# The patched Xen's public headers, in place of those in /usr/include.
$(XEN_OBJ): EXTRA = -D__XEN_TOOLS__ -isystem "$$(cat build/xen)/include"
# cmocka hands every test a state that most do not want.
$(UNIT_OBJ): EXTRA = -Wno-unused-parameter
$(UNIT_OBJ): | deps-check

LIBS     = $(call once,LIBS,$(shell pkg-config --libs liburing libcjson))
XEN_LIBS = $(call once,XEN_LIBS,$(shell pkg-config --libs xencall xenforeignmemory \
	xenevtchn xendevicemodel xentoolcore))

# ---- rules --------------------------------------------------------------------

all: $B/xenolith $B/xenolithctl man completions ## build everything that is installed (the default)
man: $(MAN) ## build the manual pages
completions: $(COMPLETIONS)
.PHONY: man completions
xenolith-fake: $B/xenolith-fake $B/xenolithctl ## build the monitor on the fake hypervisor of tests/fake
deps: ## install the Debian packages that are missing
unit-tests: $(UNITS) ## build the unit tests
fuzzers: $(FUZZERS)
.PHONY: xenolith-fake unit-tests fuzzers

# Missing packages are installed before anything needs them.
deps-build:   need = tests/packages.txt:build
deps-xen:     need = tests/packages.txt:build hypervisor-patches/packages.txt
deps-check:   need = tests/packages.txt:build tests/packages.txt:check
deps-fuzz:    need = tests/packages.txt:build tests/packages.txt:fuzz
deps-analyze: need = tests/packages.txt
deps deps-lab: need = # everything
deps deps-build deps-xen deps-check deps-fuzz deps-analyze deps-lab:
	$(if $(filter no,$(DEPS)),,@lab/deps $(need))
.PHONY: deps deps-build deps-xen deps-check deps-fuzz deps-analyze deps-lab

# A stamp is touched only when its text, $1, changes.
define stamp
@mkdir -p $(@D)
@printf '%s\n' '$(subst ','\'',$1)' | cmp -s - $@ || \
	printf '%s\n' '$(subst ','\'',$1)' > $@
endef
$B/.flags: FORCE | $(if $(filter fuzz,$(VARIANT)),deps-fuzz,deps-build)
	$(call stamp,$(CC) $(ALL_CFLAGS) $(CFLAGS) $(ALL_LDFLAGS) $(LDFLAGS) $(LIBS))
# What an archive is made of changes when a source file comes or goes.
$B/.core: FORCE
	$(call stamp,$(CORE_OBJ))
$B/.fake: FORCE
	$(call stamp,$(FAKE_OBJ))
$B/.ctl: FORCE
	$(call stamp,$(CTL_OBJ))

# Other builds (Xen, kernels) are not to see what was said to this one.
alone = env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u VARIANT -u V -u CC \
	-u CFLAGS -u LDFLAGS -u WERROR

# build/xen holds the path of the patched Xen; it is built when it is missing.
build/xen: FORCE | deps-xen
	@mkdir -p $(@D)
	@dir='$(XEN_DIR)'; \
	if [ -z "$$dir" ]; then \
		[ -x hypervisor-patches/build.sh ] || { \
			echo 'the monitor needs the patched Xen: no hypervisor-patches/build.sh' >&2; \
			exit 1; }; \
		dir=$$($(alone) hypervisor-patches/build.sh) || exit 1; \
	fi; \
	[ -d "$$dir/include/xen" ] || { echo "no Xen headers in $$dir/include" >&2; exit 1; }; \
	echo "$$dir" | cmp -s - $@ || echo "$$dir" > $@
$(XEN_OBJ): build/xen

$B/%.o: %.c $B/.flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$Q$(CC) $(ALL_CFLAGS) $(EXTRA) $(CFLAGS) -c -o $@ $<

$(CORE): $(CORE_OBJ) $B/.core
$(FAKE): $(FAKE_OBJ) $B/.fake
$(CTL): $(filter-out %/main.o,$(CTL_OBJ)) $B/.ctl
$B/%.a:
	$(call say,AR,$@)
	@rm -f $@
	$Q$(AR) rcs $@ $(filter %.o,$^)

# $1: libraries beside those that everything needs.
define link
$(call say,LD,$@)
@mkdir -p $(@D)
$Q$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) \
	-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS) $1 $(LDFLAGS)
endef

$B/xenolith: $(MAIN_OBJ) $(XEN_OBJ) $(CORE)
	$(call link,$(XEN_LIBS))
$B/xenolith-fake: $(MAIN_OBJ) $(CORE) $(FAKE)
	$(call link)
$B/xenolithctl: $B/api/ctl/main.o $(CTL) $(CORE)
	$(call link)
# Options and commands are told by the programs themselves.
$(MAN): $B/share/man/man1/%.1: docs/man/%.1.in docs/man/render $B/%
	$(call say,MAN,$@)
	@mkdir -p $(@D)
	$Qdocs/man/render $B/$* $< > $@
$(COMPLETIONS): $B/xenolithctl
	$(call say,GEN,$@)
	@mkdir -p $(@D)
	$Q$B/xenolithctl completion $(if $(findstring zsh,$@),zsh,bash) > $@

# A test that wraps functions says so in tests/unit/test_NAME.ldflags.
$B/tests/%: $B/tests/unit/%.o $(CORE) $(FAKE) $(CTL)
	$(call link,-lcmocka $(file < tests/unit/$*.ldflags))
$B/fuzz_%: $B/tests/fuzz/fuzz_%.o $(CORE) $(FAKE)
	$(call link,-fsanitize=fuzzer)

# ACPI code, compiled and turned into an array: boot/NAME.asl is boot/NAME_aml.h.
$G/boot/%_aml.h: boot/%.asl | deps-build
	$(call say,IASL,$<)
	@mkdir -p $(@D)
	$Qiasl -va -p $G/boot/$* $< > $G/boot/$*.log || { cat $G/boot/$*.log; exit 1; }
	@{ echo 'static const unsigned char $*_aml[] = {'; \
	   od -An -v -tx1 $G/boot/$*.aml | sed 's/ \(..\)/0x\1,/g'; echo '};'; } > $@
$(filter $B/boot/%,$(CORE_OBJ)): | $(patsubst %.asl,$G/%_aml.h,$(wildcard boot/*.asl))

-include $(patsubst %.o,%.d,$(MAIN_OBJ) $(XEN_OBJ) $(CORE_OBJ) $(FAKE_OBJ) $(UNIT_OBJ) \
	$(FUZZ_OBJ) $(CTL_OBJ))
.SECONDARY:

# ---- tests --------------------------------------------------------------------

# tests/check builds and runs the suites it is given, and adds up their results.
export VARIANT
check: deps ## all tests: unit, API, the same with sanitizers, fuzzers, system, lint
	+@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) tests/check unit fake asan lint system hypervisor fuzz
check-unit: deps-check ## unit tests
	+@tests/check unit
check-fake: deps-check ## tests of the API, on the fake hypervisor
	+@tests/check fake
check-asan: deps-check ## both of them, built with the sanitizers
	+@tests/check asan
check-system: deps-lab ## tests of the monitor on Xen, in the lab
	+@tests/check system hypervisor
soak: deps-lab ## the long forms of tests: SOAK_SECONDS of load, all of fio, a million attacks, 50 ends of driver domains
	+@SOAK_SECONDS=$(or $(SOAK_SECONDS),600) HOSTILE_SCALE=$(or $(HOSTILE_SCALE),100) \
		ATTACKS=$(or $(ATTACKS),1000000) DRIVER_KILLS=$(or $(DRIVER_KILLS),50) \
		tests/check soak soak-hypervisor
check-fuzz: deps-fuzz ## run every fuzzer for FUZZ_SECONDS
	+@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),5) tests/check fuzz
fuzz: deps-fuzz ## the same, for longer
	+@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) tests/check fuzz
lint: deps-check deps-xen ## check layers, comments, licences, format, scripts
	@tests/lint/run
analyze: deps-analyze ## gcc -fanalyzer, clang-tidy, cppcheck
	+@tests/analyze
cov: deps-check ## lines and branches that unit and API tests reach
	+@VARIANT=cov tests/check unit fake; status=$$?; tests/cov && exit $$status
bench-launch: deps-lab all ## measure launches in the lab
	@$(alone) tests/bench/launch
bench-io: deps-lab all ## measure disk and network in the lab
	@$(alone) tests/bench/io --strace
	@$(alone) tests/bench/io --parallel
format: deps-check ## format C files (FILES=: some of them)
	clang-format -i $(or $(FILES),$(shell git ls-files -co --exclude-standard '*.[ch]'))
.PHONY: check check-unit check-fake check-asan check-system check-fuzz fuzz soak lint analyze \
	cov bench-launch bench-io format

# ---- other things to build and run --------------------------------------------

hypervisor: build/xen ## build the patched Xen, print where it is
	@cat build/xen
hypervisor-newest: deps-xen ## try the patches on the newest Xen of Debian, print what came of it
	@$(alone) hypervisor-patches/newest.sh
guest: deps-lab ## build the micro-VM's kernel and initramfs, print where they are
	@$(alone) lab/guest/build.sh
	@$(alone) lab/guest/initramfs.sh
# Everything slow that the lab needs, so that tests find it in the cache.
lab-parts: hypervisor guest
	@$(alone) hypervisor-patches/build.sh --unpatched
	@$(alone) hypervisor-patches/build.sh --debug
	@$(alone) lab/dom0/build.sh
	@$(alone) lab/guest/debian.sh
	@$(alone) lab/guest/stock.sh
	@$(alone) lab/xl/build.sh
run: deps-lab all ## start a micro-VM in the lab (NOSTART=1: only its monitor; RUN_VCPUS=, RUN_MEM_MIB=)
	@XENOLITH=$B/xenolith $(alone) lab/run
debian: deps-lab all ## Debian 12 in a micro-VM in the lab (COMMAND=: only this, as a job)
	@BUILD=$B COMMAND='$(subst ','\'',$(COMMAND))' $(alone) lab/debian
.PHONY: hypervisor hypervisor-newest guest lab-parts run debian

# ---- housekeeping -------------------------------------------------------------

# What was built is installed as it is, so that `sudo make install` builds nothing
# as root.
install: $(if $(filter-out $(wildcard $(BUILT)),$(BUILT)),all) ## install to $(DESTDIR)$(PREFIX)
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $B/xenolith $B/xenolithctl
	$(if $(KERNEL),install -D -m 644 $(KERNEL) $(DESTDIR)$(PREFIX)/share/xenolith/vmlinux)
	install -d $(DESTDIR)$(DOC)
	install -m 644 $(DOCS) $(DESTDIR)$(DOC)
	for f in $(patsubst $B/%,%,$(MAN) $(COMPLETIONS)); do \
		install -D -m 644 "$B/$$f" "$(DESTDIR)$(PREFIX)/$$f" || exit 1; done
uninstall: ## remove what install put there
	rm -f $(patsubst %,$(DESTDIR)$(PREFIX)/bin/%,xenolith xenolithctl) \
		$(patsubst $B/%,$(DESTDIR)$(PREFIX)/%,$(MAN) $(COMPLETIONS))
	rm -rf $(DESTDIR)$(DOC) $(DESTDIR)$(PREFIX)/share/xenolith

clean: ## remove build/
	rm -rf build
CACHE = $(or $(XENOLITH_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/xenolith)
distclean: clean ## clean, and say where the slow builds are kept
	@if [ -d '$(CACHE)' ]; then \
		echo 'kept (make cache-clean removes it):'; du -sh '$(CACHE)'; fi
cache-clean: ## remove the built hypervisors, kernels and images
	rm -rf '$(CACHE)'

help: ## show this
	@echo 'targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | \
		awk -F'|' '{ printf "%-17s %s\n", $$1, $$2 }'
	@echo 'variables:'
	@sed -n 's/^## /  /p' Makefile
.PHONY: install uninstall clean distclean cache-clean
