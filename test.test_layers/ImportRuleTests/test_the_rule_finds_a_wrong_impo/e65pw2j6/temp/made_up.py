from twisted.internet import defer
