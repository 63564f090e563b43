package dev.twinsync.capture.log;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.record.Json;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.LongConsumer;
import org.apache.kafka.connect.runtime.WorkerConfig;
import org.apache.kafka.connect.storage.OffsetBackingStore;
import org.apache.kafka.connect.util.Callback;

/**
 * The engine's position in the log, kept in the state database. The engine begins where the server's slot stands, so
 * that a transaction is read whole or again, and never from its middle; what is read twice equals the base. The stored
 * position says how far Kafka has everything: a slot that stands further has lost something.
 *
 * <p>The engine makes it by its class name, so the log that it belongs to is found by the flow's name.
 */
public final class LogPosition implements OffsetBackingStore {

    /** The engine's setting that names the flow. */
    public static final String FLOW = "twinsync.flow";

    private static final Map<String, Open> OPEN = new ConcurrentHashMap<>();

    /** @param last the offset that was set last; the engine reads it back and tells the server that it may go so far */
    private record Open(long from, LongConsumer moved, AtomicReference<byte[]> last) {}

    private Open open;

    /**
     * Says where a flow's next engine begins.
     *
     * @param from where the slot stands, in bytes of the log
     * @param moved is told how far Kafka has everything; throws where that can't be stored
     */
    public static void open(String flow, long from, LongConsumer moved) {
        OPEN.put(flow, new Open(from, moved, new AtomicReference<>()));
    }

    @Override
    public void configure(WorkerConfig config) {
        open = OPEN.get(config.originalsStrings().get(FLOW));
    }

    @Override
    public void start() {
        // the state database is open
    }

    @Override
    public void stop() {
        // and stays so
    }

    @Override
    public Future<Map<ByteBuffer, ByteBuffer>> get(Collection<ByteBuffer> keys) {
        Map<ByteBuffer, ByteBuffer> offsets = new ConcurrentHashMap<>();
        byte[] last = open.last().get();
        byte[] offset = last == null ? Json.bytes(Map.of("lsn", open.from(), "lsn_proc", open.from())) : last;
        keys.forEach(key -> offsets.put(key, ByteBuffer.wrap(offset)));
        return CompletableFuture.completedFuture(offsets);
    }

    @Override
    public Future<Void> set(Map<ByteBuffer, ByteBuffer> values, Callback<Void> callback) {
        try {
            for (ByteBuffer value : values.values()) {
                byte[] bytes = new byte[value.remaining()];
                value.duplicate().get(bytes);
                JsonNode offset = Json.read(new String(bytes, StandardCharsets.UTF_8));
                long position = Math.max(
                        offset.path("lsn").asLong(),
                        Math.max(
                                offset.path("lsn_proc").asLong(),
                                offset.path("lsn_commit").asLong()));
                open.moved().accept(position);
                open.last().set(bytes);
            }
            if (callback != null) {
                callback.onCompletion(null, null);
            }
            return CompletableFuture.completedFuture(null);
        } catch (RuntimeException e) {
            if (callback != null) {
                callback.onCompletion(e, null);
            }
            return CompletableFuture.failedFuture(e);
        }
    }

    @Override
    public Set<Map<String, Object>> connectorPartitions(String connector) {
        return Set.of();
    }
}
