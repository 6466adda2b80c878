# Included by the Makefile: the package for arm64, cross-built on amd64. packaging/sysroot.py and setup/arm64.py say with what.
BUILT = $(abspath $(or $(CARGO_TARGET_DIR),target))
SYSROOT = $(BUILT)/arm64/sysroot

# Of that target alone: build scripts run here, and are built with what the machine has.
CROSS = CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
	CFLAGS_aarch64_unknown_linux_gnu=--sysroot=$(SYSROOT) \
	PKG_CONFIG_SYSROOT_DIR_aarch64_unknown_linux_gnu=$(SYSROOT) \
	PKG_CONFIG_LIBDIR_aarch64_unknown_linux_gnu=$(SYSROOT)/usr/lib/aarch64-linux-gnu/pkgconfig:$(SYSROOT)/usr/share/pkgconfig \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C link-arg=--sysroot=$(SYSROOT)"

.PHONY: deb-arm64 test-deb-arm64 program-arm64

deb-arm64: program-arm64 models ## Make the Debian package for arm64 on an amd64 machine: target/deb/snowgate_VERSION_arm64.deb
	$(PYTHON) -B packaging/deb.py --arm64 $(SYSROOT) --program $(BUILT)/aarch64-unknown-linux-gnu/release/snowgate --to $(BUILT)/deb

test-deb-arm64: program-arm64 models media ## Try that package on an emulated Debian 12 for arm64: install, check, run (as root; half an hour)
	$(CARGO) build --release -p snowgate -p snowgate-tests --bins
	$(PYTHON) -B packaging/test_arm64.py --sysroot $(SYSROOT) --program $(BUILT)/aarch64-unknown-linux-gnu/release/snowgate \
		--camera $(BUILT)/release/camera --work $(BUILT)/test-deb-arm64

program-arm64: rust arm64-tools
	@$(PYTHON) -B packaging/sysroot.py $(SYSROOT)
	$(CROSS) $(CARGO) build --release --target aarch64-unknown-linux-gnu -p snowgate
