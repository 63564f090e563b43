package dev.twinsync.merge;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.TextNode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A write whose answer was lost, after one whose echo nobody saw. */
class MergeSentTest extends MergeStory {

    @BeforeEach
    void bothEndsAreEqual() {
        merge(reading("app", "0", 1));
        merge(reading("mini", "0", 3));
    }

    /** The value of the second must not pass for how the system renders the first, once the first is true again. */
    @Test
    void whatASystemHoldsOfTheSecondIsWrittenOverWhenTheFirstIsTrueAgain() {
        merge(reading("app", "1", 10));
        answered("mini");
        merge(reading("app", "2", 20));
        intended("mini", "2");
        merge(reading("app", "1", 30));
        // it was written, and its answer was lost
        merge(reading("mini", "2", 40));
        assertThat(golden.value("a")).isEqualTo(TextNode.valueOf("1"));
        assertThat(Due.altered(bases.get("mini"))).isEmpty();
        assertThat(Due.paths(schema, golden, bases.get("mini"))).containsExactly("a");
    }
}
