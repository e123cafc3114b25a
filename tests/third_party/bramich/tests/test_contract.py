from streamdiff.testing.contract import PluginContract


class TestContract(PluginContract):
    kind = "subtract"
    name = "bramich"
