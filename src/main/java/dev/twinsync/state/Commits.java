package dev.twinsync.state;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.camel.Exchange;
import org.apache.camel.component.kafka.KafkaConstants;
import org.apache.camel.component.kafka.consumer.KafkaManualCommit;
import org.springframework.stereotype.Component;

/**
 * The last step of a flow that consumes batches: commits, per partition, the last record of the batch.
 *
 * <p>A batch that could not be worked is abandoned: nothing of it is committed, and nothing behind it either, until the
 * consumer has gone back to where it was abandoned (which resuming a suspended route does). Without that, the next good
 * batch would commit past the hole.
 */
@Component("commits")
public class Commits {

    /** Route and partition to the first offset that was not worked. */
    private final Map<String, Long> holes = new ConcurrentHashMap<>();

    /** Whether the batch lies behind a hole: it is not to be worked now, and will be read again. */
    public boolean behindHole(Exchange exchange) {
        boolean behind = false;
        for (Map.Entry<String, Exchange> first : edges(exchange, false).entrySet()) {
            Long hole = holes.get(first.getKey());
            if (hole != null && offset(first.getValue()) <= hole) {
                holes.remove(first.getKey());
            } else if (hole != null) {
                behind = true;
            }
        }
        return behind;
    }

    /** Leaves the batch to be read again. */
    public void abandon(Exchange exchange) {
        edges(exchange, false).forEach((partition, first) -> holes.merge(partition, offset(first), Math::min));
    }

    /** Commits the batch, but for partitions with a hole before it. */
    public void commit(Exchange exchange) {
        edges(exchange, true).forEach((partition, last) -> {
            if (!holes.containsKey(partition)) {
                last.getMessage()
                        .getHeader(KafkaConstants.MANUAL_COMMIT, KafkaManualCommit.class)
                        .commit();
            }
        });
    }

    @SuppressWarnings("unchecked")
    public static List<Exchange> batch(Exchange exchange) {
        return (List<Exchange>) exchange.getMessage().getBody(List.class);
    }

    private static Map<String, Exchange> edges(Exchange exchange, boolean last) {
        Map<String, Exchange> edges = new HashMap<>();
        for (Exchange record : batch(exchange)) {
            String partition = exchange.getFromRouteId()
                    + '/'
                    + record.getMessage().getHeader(KafkaConstants.TOPIC)
                    + '/'
                    + record.getMessage().getHeader(KafkaConstants.PARTITION);
            if (last) {
                edges.put(partition, record);
            } else {
                edges.putIfAbsent(partition, record);
            }
        }
        return edges;
    }

    private static long offset(Exchange record) {
        return record.getMessage().getHeader(KafkaConstants.OFFSET, Long.class);
    }
}
