"""The networks of the nodes of `cluster`: a namespace for each node, if this machine allows it."""

import atexit
import os
import shutil
import subprocess


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)


class Namespaces:
    """Network namespaces with two bridges: over one the nodes reach clients, providers and the bucket, over the other the database. A
    node without the second one sends packets that are silently dropped: no connection of it is reset."""

    name = "network namespaces: packets are dropped silently"

    def __init__(self, nodes: int) -> None:
        # 198.18.0.0/15 is reserved for tests of networks (RFC 2544).
        self.tag, third = f"tri{os.getpid() % 100_000}", os.getpid() % 256
        self.bridges = {"c": f"198.18.{third}", "d": f"198.19.{third}"}
        self.host, self.database_host = (f"{network}.1" for network in self.bridges.values())
        self.nodes = 0
        atexit.register(self.remove)
        for kind, network in self.bridges.items():
            _ip("link", "add", f"{self.tag}{kind}", "type", "bridge")
            _ip("address", "add", f"{network}.1/24", "dev", f"{self.tag}{kind}")
            _ip("link", "set", f"{self.tag}{kind}", "up")
        for node in range(nodes):
            self._add(node)

    def _add(self, node: int) -> None:
        namespace = f"{self.tag}n{node}"
        _ip("netns", "add", namespace)
        self.nodes += 1
        for kind, network in self.bridges.items():
            end = f"{self.tag}{kind}{node}"
            _ip("link", "add", end, "type", "veth", "peer", "name", f"link-{kind}", "netns", namespace)
            _ip("link", "set", end, "master", f"{self.tag}{kind}", "up")
            _ip("-n", namespace, "address", "add", f"{network}.{10 + node}/24", "dev", f"link-{kind}")
            _ip("-n", namespace, "link", "set", f"link-{kind}", "up")
        _ip("-n", namespace, "link", "set", "lo", "up")

    def prefix(self, node: int) -> tuple[str, ...]:
        return "ip", "netns", "exec", f"{self.tag}n{node}"

    def node_host(self, node: int) -> str:
        return f"{self.bridges['c']}.{10 + node}"

    def separate(self, node: int) -> None:
        """Takes the node off the network of the database."""
        _ip("link", "set", f"{self.tag}d{node}", "nomaster")

    def join(self, node: int) -> None:
        _ip("link", "set", f"{self.tag}d{node}", "master", f"{self.tag}d")

    def remove(self) -> None:
        """Removes the namespaces, and with them the links into them."""
        for node in range(self.nodes):
            subprocess.run(["ip", "netns", "delete", f"{self.tag}n{node}"], capture_output=True, check=False)
        for kind in self.bridges:
            subprocess.run(["ip", "link", "delete", f"{self.tag}{kind}"], capture_output=True, check=False)


class Loopback:
    """All nodes on 127.0.0.1. The proxy of a separated node stops forwarding, and keeps its connections open."""

    name = "one network: a proxy stops forwarding, without closing its connections"

    def __init__(self) -> None:
        self.host = self.database_host = "127.0.0.1"

    def prefix(self, node: int) -> tuple[str, ...]:
        return ()

    def node_host(self, node: int) -> str:
        return "127.0.0.1"

    def separate(self, node: int) -> None:
        pass

    def join(self, node: int) -> None:
        pass

    def remove(self) -> None:
        pass


def network(nodes: int) -> Namespaces | Loopback:
    """Returns namespaces if this process may create them."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return Loopback()
    try:
        return Namespaces(nodes)
    except subprocess.CalledProcessError as error:
        print(f"   no network namespaces: {error.stderr.strip()}", flush=True)
        return Loopback()
