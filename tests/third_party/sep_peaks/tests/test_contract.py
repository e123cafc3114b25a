from streamdiff.testing.contract import PluginContract


class TestContract(PluginContract):
    kind = "find"
    name = "sep_peaks"
