from ...tun.engine import Engine
