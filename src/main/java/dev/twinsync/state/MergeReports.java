package dev.twinsync.state;

import dev.twinsync.merge.Merge;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Schema;
import java.util.List;
import java.util.Set;
import org.apache.camel.Exchange;

/** Whom the merge tells what it found: metrics, and the dead letters of what it could not use. */
public interface MergeReports {

    /** One observation was merged, whatever the outcome. */
    void merged(String entity, Observation observation, Merge.Result result);

    /** A reading was an echo: it need not be merged. */
    void echo(String entity, Observation reading);

    /** A record of the topic is no observation, or can't be merged: it becomes a dead letter; throws where that can't be kept. */
    void poison(String entity, Exchange record, Exception cause);

    /** Fields of readings that can't be put into normal form, and those that can again; throws where it can't be kept. */
    void fields(String entity, List<Fields> fields);

    /**
     * @param problems what of this reading can't be used
     * @param before the fields that could not be used the last time
     */
    record Fields(Observation observation, List<Schema.Problem> problems, Set<String> before) {}
}
