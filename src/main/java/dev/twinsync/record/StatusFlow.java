package dev.twinsync.record;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The table of a forward field: which status may follow which, and which stands when two systems moved.
 *
 * @param followers code to the codes that may follow it directly
 * @param ranks codes from the lowest to the highest rank
 * @param dispute the status after which an earlier one may be stated again (a refund that was refused), or null
 * @param disputeEnd the only status that a path through {@code dispute} may end in, or null
 * @param labels label in the customers' language to code
 */
public record StatusFlow(
        Map<String, List<String>> followers,
        List<String> ranks,
        String dispute,
        String disputeEnd,
        Map<String, String> labels) {

    /** Whether the table leads from one status to another in one or more steps. */
    public boolean leads(String from, String to) {
        if (from.equals(to)) {
            return false;
        }
        Set<String> seen = new HashSet<>();
        Deque<String> open = new ArrayDeque<>(followers.getOrDefault(from, List.of()));
        while (!open.isEmpty()) {
            String at = open.pop();
            if (!seen.add(at)) {
                continue;
            }
            if (at.equals(to)) {
                return true;
            }
            // a path through the dispute may only end where the dispute ends
            if (at.equals(dispute) && !to.equals(disputeEnd)) {
                continue;
            }
            open.addAll(followers.getOrDefault(at, List.of()));
        }
        return false;
    }

    public int rank(String status) {
        return ranks.indexOf(status);
    }

    /** Whether a system that held {@code from} may state {@code to} because its dispute was settled the other way. */
    public boolean reopens(String from, String to) {
        return from.equals(dispute) && leads(to, dispute);
    }
}
