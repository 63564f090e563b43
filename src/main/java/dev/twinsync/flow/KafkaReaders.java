package dev.twinsync.flow;

import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.camel.CamelContext;
import org.apache.camel.Route;
import org.apache.camel.component.kafka.DefaultKafkaClientFactory;
import org.apache.camel.component.kafka.KafkaEndpoint;
import org.apache.camel.support.service.ServiceSupport;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.annotation.Lazy;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;

/**
 * The readers of Kafka behind the flows, so many to a flow as its {@code consumersCount} says.
 *
 * <p>Camel 4.17 tells a reader by a single word that it is to pause or to go on. A word that comes while the reader acts
 * on the one before is overwritten and lost: one reader of a flow that runs stays paused for good, or one of a flow that
 * somebody has paused reads on; and partitions that come to a paused reader are read at once. So each reader looks,
 * when it asks Kafka, at whether its flow is suspended, and pauses or resumes what it has by that.
 *
 * <p>A reader whose polling fails while its flow is suspended ends for good, and the flow counts as started all the
 * same. A flow that lacks a reader is started anew.
 */
@Component
public class KafkaReaders extends DefaultKafkaClientFactory {

    private static final Logger LOG = LoggerFactory.getLogger(KafkaReaders.class);

    /** Looks in a row that find a reader missing, before its flow is started anew: a new one takes a moment. */
    private static final int LOOKS = 3;

    /** What a batch may take before it is told of; Kafka waits for {@code max.poll.interval.ms}, five minutes. */
    private static final Duration LONGEST_BATCH = Duration.ofMinutes(2);

    private final CamelContext camel;

    /** Polls in a row that brought nothing, after which a reader waits longer: no batch is open then. */
    private static final int QUIET = 20;

    /** What a quiet reader waits for records, which end the wait: five times as many looks would find as little. */
    private static final Duration QUIET_WAIT = Duration.ofMillis(500);

    /** By the group, which a flow has for itself. */
    private final Map<String, Set<Reader>> readers = new ConcurrentHashMap<>();

    /** Flow to the looks in a row that found a reader missing. */
    private final Map<String, Integer> missing = new HashMap<>();

    KafkaReaders(@Lazy CamelContext camel) {
        this.camel = camel;
    }

    /** Called by the thread that is going to read. */
    @Override
    public Consumer<?, ?> getConsumer(Properties settings) {
        Reader reader = new Reader(settings);
        readers.computeIfAbsent(reader.group, group -> ConcurrentHashMap.newKeySet())
                .add(reader);
        return reader;
    }

    final class Reader extends KafkaConsumer<Object, Object> {

        private final String group;
        private volatile Thread thread = Thread.currentThread();
        private volatile Instant asked = Instant.now();
        private volatile boolean paused;
        private int empty;

        Reader(Properties settings) {
            super(settings);
            group = settings.getProperty(ConsumerConfig.GROUP_ID_CONFIG);
        }

        @Override
        public ConsumerRecords<Object, Object> poll(Duration timeout) {
            thread = Thread.currentThread();
            asked = Instant.now();
            Route flow = flow(group);
            // one that is being started or stopped is left as it is
            if (flow != null && isStarted(flow)) {
                resume(paused());
            } else if (flow != null && isSuspended(flow)) {
                pause(assignment());
            }
            paused = !assignment().isEmpty() && paused().containsAll(assignment());
            boolean quiet = empty >= QUIET && !paused;
            ConsumerRecords<Object, Object> records = super.poll(quiet ? QUIET_WAIT : timeout);
            empty = records.isEmpty() ? empty + 1 : 0;
            if (flow == null || records.isEmpty() || !isSuspended(flow)) {
                return records;
            }
            // of partitions that have just come, or read while the flow was suspended: they are read again
            records.partitions().forEach(p -> seek(p, records.records(p).get(0).offset()));
            pause(assignment());
            return ConsumerRecords.empty();
        }

        @Override
        public void close() {
            readers.get(group).remove(this);
            super.close();
        }

        boolean reads() {
            return thread.isAlive();
        }

        boolean isPaused() {
            return paused;
        }
    }

    /** The flow that has the group for itself, or null: a group without a name is made up anew by each start. */
    private Route flow(String group) {
        Route found = null;
        for (Route route : camel.getRoutes()) {
            if (group != null
                    && route.getEndpoint() instanceof KafkaEndpoint kafka
                    && group.equals(kafka.getConfiguration().getGroupId())) {
                if (found != null) {
                    return null;
                }
                found = route;
            }
        }
        return found;
    }

    // by its consumer: that is suspended before the route is, and goes on before it

    private static boolean isSuspended(Route flow) {
        return flow.getConsumer() instanceof ServiceSupport consumer && consumer.isSuspendingOrSuspended();
    }

    private static boolean isStarted(Route flow) {
        return flow.getConsumer() instanceof ServiceSupport consumer && consumer.isStarted();
    }

    List<Reader> of(String flow) {
        return reading((KafkaEndpoint) camel.getRoute(flow).getEndpoint());
    }

    private List<Reader> reading(KafkaEndpoint kafka) {
        return readers.getOrDefault(kafka.getConfiguration().getGroupId(), Set.of()).stream()
                .filter(Reader::reads)
                .toList();
    }

    /** What is to be looked at of the readers of a flow that runs, or null. */
    public String trouble(Route flow) {
        return trouble(flow, Instant.now());
    }

    String trouble(Route flow, Instant now) {
        if (!(flow.getEndpoint() instanceof KafkaEndpoint kafka)
                || !isStarted(flow)
                || kafka.getConfiguration().getGroupId() == null) {
            return null;
        }
        for (Reader reader : reading(kafka)) {
            Duration silent = Duration.between(reader.asked, now);
            if (silent.compareTo(LONGEST_BATCH) > 0) {
                return "a reader has asked Kafka for nothing for " + silent.toSeconds()
                        + " s: its batch waits for something slow, or it hangs; stop and start the flow if that goes on";
            }
        }
        return null;
    }

    @Scheduled(initialDelay = 10_000, fixedDelay = 5000)
    synchronized void look() {
        if (!camel.getStatus().isStarted()) {
            return;
        }
        for (Route flow : camel.getRoutes()) {
            if (flow.getEndpoint() instanceof KafkaEndpoint kafka
                    && flow(kafka.getConfiguration().getGroupId()) == flow) {
                boolean whole = !isStarted(flow)
                        || reading(kafka).size() >= kafka.getConfiguration().getConsumersCount();
                int looks = whole ? 0 : missing.getOrDefault(flow.getRouteId(), 0) + 1;
                missing.put(flow.getRouteId(), looks == LOOKS ? 0 : looks);
                if (looks == LOOKS) {
                    startAnew(flow.getRouteId(), kafka);
                }
            }
        }
    }

    private void startAnew(String flow, KafkaEndpoint kafka) {
        LOG.warn("{} has lost a reader: it is started anew", flow);
        try {
            camel.getRouteController().stopRoute(flow);
            // one whose thread has gone without closing it is still a member of its group, which waits for it
            Set<Reader> group = readers.getOrDefault(kafka.getConfiguration().getGroupId(), Set.of());
            group.stream().filter(reader -> !reader.reads()).forEach(Reader::close);
            camel.getRouteController().startRoute(flow);
        } catch (Exception e) {
            LOG.error("{} can't be started anew", flow, e);
        }
    }
}
