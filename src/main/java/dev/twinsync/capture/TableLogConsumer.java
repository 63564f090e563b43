package dev.twinsync.capture;

import dev.twinsync.capture.log.LogPosition;
import io.debezium.embedded.Connect;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.RecordChangeEvent;
import io.debezium.engine.format.ChangeEventFormat;
import java.io.IOException;
import java.math.BigDecimal;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.camel.Exchange;
import org.apache.camel.Processor;
import org.apache.camel.support.DefaultConsumer;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.source.SourceRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads a log by the embedded Debezium engine. A batch becomes the keys of the records that it concerns, each once; only
 * when the flow has worked them is the batch marked, and only what is marked moves the position and the slot. A batch
 * whose flow fails ends the engine: it is started again after growing pauses, from where the slot stands. One instance
 * reads; another takes over when its lease ends.
 */
class TableLogConsumer extends DefaultConsumer {

    private static final Logger LOG = LoggerFactory.getLogger(TableLogConsumer.class);
    private static final Duration LONGEST_PAUSE = Duration.ofSeconds(30);
    private static final Duration STEADY = Duration.ofMinutes(1);

    private final TableLogEndpoint endpoint;
    private final TableLogs logs;
    private final AtomicReference<DebeziumEngine<?>> engine = new AtomicReference<>();
    private volatile boolean running;
    private volatile boolean owner;
    private Thread reader;
    private ScheduledExecutorService leases;

    TableLogConsumer(TableLogEndpoint endpoint, Processor processor) {
        super(endpoint, processor);
        this.endpoint = endpoint;
        this.logs = endpoint.component().logs();
    }

    private String flow() {
        return getRouteId();
    }

    @Override
    protected void doStart() throws Exception {
        super.doStart();
        running = true;
        long renew = logs.lease().toMillis() / 4;
        leases = Executors.newSingleThreadScheduledExecutor(run -> daemon(run, flow() + "-lease"));
        leases.scheduleWithFixedDelay(this::renew, renew, renew, TimeUnit.MILLISECONDS);
        reader = daemon(this::read, flow());
        reader.start();
    }

    @Override
    protected void doStop() throws Exception {
        running = false;
        if (reader == null) {
            super.doStop(); // it was never started
            return;
        }
        end();
        reader.interrupt();
        reader.join(TimeUnit.SECONDS.toMillis(20));
        leases.shutdownNow();
        endpoint.component().capture().passes(flow());
        super.doStop();
    }

    private static Thread daemon(Runnable run, String name) {
        Thread thread = new Thread(run, name);
        thread.setDaemon(true);
        return thread;
    }

    /** Without the lease nothing is read: another instance may have begun. */
    private void renew() {
        if (!owner) {
            return;
        }
        try {
            if (logs.own(flow())) {
                return;
            }
            LOG.warn("{} was taken over by another instance", flow());
        } catch (RuntimeException e) {
            LOG.warn("{} can't renew its lease: {}", flow(), e.toString());
            return; // the position is fenced: what is read meanwhile is read twice at worst
        }
        owner = false;
        end();
    }

    private void read() {
        int failed = 0;
        while (running) {
            Instant began = Instant.now();
            try {
                if (!logs.own(flow())) {
                    pause(logs.lease().toMillis() / 10);
                    continue;
                }
                owner = true;
                stream();
                failed = 0;
            } catch (InterruptedException e) {
                return;
            } catch (Exception e) {
                if (running) {
                    failed = began.plus(STEADY).isBefore(Instant.now()) ? 1 : failed + 1;
                    endpoint.component().capture().fails(flow(), e);
                }
            } finally {
                owner = false;
                release();
            }
            if (failed > 0) {
                long longest = Math.min(LONGEST_PAUSE.toMillis(), 500L << Math.min(failed, 7));
                pause(longest / 2 + ThreadLocalRandom.current().nextLong(longest / 2 + 1));
            }
        }
    }

    private void release() {
        try {
            logs.release(flow());
        } catch (RuntimeException e) {
            LOG.debug("{} leaves its lease to end by itself: {}", flow(), e.toString());
        }
    }

    private void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            running = false;
        }
    }

    /** Reads until the flow is stopped, the lease is lost or the engine fails. */
    private void stream() throws Exception {
        TableLogComponent component = endpoint.component();
        String slot = component.settings().slot(flow());
        LogSlot.Ready ready = component.slots().prepare(flow(), slot, endpoint.keys());
        if (ready.gap() != null) {
            // first it is stored that all keys are to be read, then that the slot is known
            LOG.warn("{}: {}; all keys are read again", flow(), ready.gap());
            hand(Learned.missed(ready.gap()));
            logs.stand(flow(), slot, ready.position());
        }
        LogPosition.open(flow(), ready.position(), position -> logs.move(flow(), position));
        AtomicReference<Throwable> failure = new AtomicReference<>();
        DebeziumEngine<RecordChangeEvent<SourceRecord>> run = DebeziumEngine.create(ChangeEventFormat.of(Connect.class))
                .using(component.settings().engine(flow(), endpoint.keys()))
                .using(getClass().getClassLoader())
                .using((DebeziumEngine.CompletionCallback) (success, message, error) -> {
                    if (!success) {
                        failure.set(error == null ? new IllegalStateException(message) : error);
                    }
                })
                .using(new DebeziumEngine.ConnectorCallback() {
                    @Override
                    public void pollingStarted() {
                        logs.streaming(flow(), true);
                        component.capture().passes(flow());
                    }
                })
                .notifying((batch, committer) -> work(batch, committer))
                .build();
        try {
            engine.set(run);
            run.run();
        } finally {
            engine.set(null);
        }
        if (failure.get() != null && running && owner) {
            Throwable cause = failure.get();
            if (undone(cause, slot)) {
                component.slots().drop(slot);
            }
            throw cause instanceof Exception e ? e : new IllegalStateException(cause);
        }
    }

    /** The publication was dropped: what the slot still holds can't be decoded without it, not even once it is back. */
    private static boolean undone(Throwable cause, String slot) {
        for (Throwable at = cause; at != null; at = at.getCause()) {
            if (at.getMessage() != null && at.getMessage().contains("publication \"" + slot + "\" does not exist")) {
                return true;
            }
        }
        return false;
    }

    private void end() {
        DebeziumEngine<?> run = engine.get();
        while (run != null && engine.get() == run) {
            try {
                run.close();
                return;
            } catch (IOException e) {
                LOG.debug("{} ends", flow(), e);
                return;
            } catch (IllegalStateException e) {
                // an engine that is starting can't be ended yet, and one that has ended need not be
                try {
                    Thread.sleep(100);
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                    return;
                }
            }
        }
    }

    private void work(
            List<RecordChangeEvent<SourceRecord>> batch,
            DebeziumEngine.RecordCommitter<RecordChangeEvent<SourceRecord>> committer)
            throws InterruptedException {
        Set<String> ids = new LinkedHashSet<>();
        String missed = null;
        for (RecordChangeEvent<SourceRecord> event : batch) {
            if (event.record().value() instanceof Struct change
                    && change.schema().field("op") != null) {
                String truncated = learn(change, ids);
                missed = truncated == null ? missed : truncated;
            }
        }
        if (!ids.isEmpty() || missed != null) {
            hand(new Learned(ids, missed));
        }
        if (!owner) {
            throw new IllegalStateException("another instance has taken this log over");
        }
        // positions are in order: the last one stands for all
        committer.markProcessed(batch.get(batch.size() - 1));
        committer.markBatchFinished();
    }

    /** Adds the keys that a change concerns: those before it and those after it. Returns what was truncated, or null. */
    private String learn(Struct change, Set<String> ids) {
        if (change.schema().field("source") == null) {
            return null;
        }
        Struct source = change.getStruct("source");
        String table = source.getString("schema") + '.' + source.getString("table");
        String column = endpoint.keys().columns().get(table);
        if (column == null) {
            return null;
        }
        if (change.getString("op").equals("t")) {
            return table + " was truncated";
        }
        boolean found = key(change, "before", column, ids);
        found |= key(change, "after", column, ids);
        if (!found) {
            throw new IllegalStateException("keys: the log tells no " + column + " of " + table);
        }
        return null;
    }

    private static boolean key(Struct change, String side, String column, Set<String> ids) {
        Field field = change.schema().field(side);
        Struct row = field == null ? null : change.getStruct(side);
        Field key = row == null ? null : row.schema().field(column);
        Object value = key == null ? null : row.get(key);
        if (value == null) {
            return false;
        }
        ids.add(value instanceof BigDecimal number ? number.toPlainString() : value.toString());
        return true;
    }

    /** Runs the flow; what it could not do is an error here, also where it was kept as a dead letter. */
    private void hand(Learned learned) {
        Exchange exchange = createExchange(false);
        try {
            exchange.getMessage().setBody(learned);
            getProcessor().process(exchange);
            Exception failed = exchange.getException() != null
                    ? exchange.getException()
                    : exchange.getProperty(Exchange.EXCEPTION_CAUGHT, Exception.class);
            if (failed != null) {
                throw failed instanceof RuntimeException e ? e : new IllegalStateException(failed);
            }
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IllegalStateException(e);
        } finally {
            releaseExchange(exchange, false);
        }
    }
}
