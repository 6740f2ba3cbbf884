"""Says where the instructions of a callgrind file are: profile.py FILE BINARY

Callgrind knows functions of the linked program only, and little is left of those once all is inlined. The debug
information knows for each instruction which functions it was inlined from: each of them is charged here with it.
"""

import collections
import re
import subprocess
import sys

ROWS = 40


def costs(path, binary):
    """Instructions by address in the binary; those of other objects by function."""
    inside, outside = collections.Counter(), collections.Counter()
    with open(path) as file:
        lines = iter(file)
        for line in lines:
            key, _, value = line.strip().partition("=")
            if key == "ob":
                is_inside = value.endswith(binary)
            elif key == "fn":
                function = value
            elif key == "calls":
                # The line behind it is the cost of the call, which the called function has too.
                next(lines)
            elif line.startswith("0x"):
                address, _, count = line.split()
                if is_inside:
                    inside[int(address, 16)] += int(count)
                else:
                    outside[function] += int(count)
    return inside, outside


def frames(addresses, binary):
    """The functions that each address lies in, the innermost first, with file and line."""
    asked = "\n".join(hex(address) for address in addresses)
    command = ["addr2line", "-e", binary, "-a", "-i", "-f", "-C"]
    answer = subprocess.run(command, input=asked, capture_output=True, text=True, check=True).stdout
    found, chain = {}, []
    lines = iter(answer.splitlines())
    for line in lines:
        if line.startswith("0x"):
            chain = found.setdefault(int(line, 16), [])
        else:
            name = re.sub(r"<.*|::h[0-9a-f]{16}$", "", re.sub(r"Session<[^>]*>", "Session", line))
            chain.append((name, next(lines)))
    return found


def table(title, counts, total):
    print(f"\n{title}")
    for name, count in counts.most_common(ROWS):
        print(f"{count:12,} {100 * count / total:5.1f} %  {name}")


def main():
    path, binary = sys.argv[1:]
    inside, outside = costs(path, binary)
    total = sum(inside.values()) + sum(outside.values())
    functions, files, lines = collections.Counter(outside), collections.Counter(), collections.Counter()
    for address, chain in frames(inside, binary).items():
        count = inside[address]
        for name in {name for name, _ in chain}:
            functions[name] += count
        # What the standard library does is charged to the line that asked for it.
        own = (place.partition("/core/src/")[2] for _, place in chain if "/library/" not in place)
        place = next(filter(None, own), "elsewhere").split(" ")[0]
        files[place.partition(":")[0]] += count
        lines[place] += count
    print(f"{total:,} instructions")
    table("By function, with what is inlined into it and without what it calls:", functions, total)
    table("By file of core:", files, total)
    table("By line of core:", lines, total)


main()
