from verdict import Wanted
WANTED = []
