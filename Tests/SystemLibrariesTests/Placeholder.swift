// SystemLibrariesTests
