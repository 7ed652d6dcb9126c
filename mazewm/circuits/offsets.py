"""Which token classes can stand how many tokens before a query, in a list of connections."""

from mazewm.maze.tokens import CONNECTION_CLASSES, TOKENS_PER_CONNECTION, TokenClass

QUERY_CLASSES = (TokenClass.CONNECTOR, TokenClass.C2, TokenClass.DELIMITER)
COORDINATE = "coordinate"
KEY_CLASSES = (COORDINATE, str(TokenClass.CONNECTOR), str(TokenClass.DELIMITER))
MAX_OFFSET = 4 * TOKENS_PER_CONNECTION


def occurs(query_class: str, key_class: str, offset: int) -> bool:
    """Whether a token of the key class can stand ``offset`` tokens before one of the query class.

    >>> # in c1 <--> c2 ; the first cell stands two tokens before the second
    >>> occurs("c2", "coordinate", 2), occurs("c2", "coordinate", 3), occurs("c2", ";", 3)
    (True, False, True)
    """
    classes = [str(c) for c in CONNECTION_CLASSES]
    there = classes[(classes.index(query_class) - offset) % TOKENS_PER_CONNECTION]
    return there == key_class or (
        key_class == COORDINATE and there in (TokenClass.C1, TokenClass.C2)
    )
