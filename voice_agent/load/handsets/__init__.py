"""The carriers' side of their protocols, one file each, after what the carriers publish.

In: what the phone wants to send, and what an agent's server sends. Out: messages on the wire, and
what those of the server mean. Written without a look at the server's side of them, which is what
they are there to test; pure but for the webhook that rings.
"""
